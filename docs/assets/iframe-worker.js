// Browsers start no workers for pages that are opened as files. There, the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  const send = (target, data) => {
    const copy = structuredClone(data);
    setTimeout(() => target.dispatchEvent(new MessageEvent("message", { data: copy })));
  };

  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.inside = this.frame.contentWindow;
      this.inside.postMessage = (data) => send(this, data);
      this.addEventListener("message", (event) => this.onmessage?.(event));
      this.loaded = new Promise((resolve, reject) => {
        const script = this.inside.document.createElement("script");
        script.onload = resolve;
        script.onerror = reject;
        script.src = url;
        this.inside.document.body.append(script);
      });
    }

    postMessage(data) {
      this.loaded.then(
        () => send(this.inside, data),
        (error) => this.dispatchEvent(new ErrorEvent("error", { error })),
      );
    }

    terminate() {
      this.frame.remove();
    }
  };
}
