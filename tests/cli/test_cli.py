"""Commands that need no torch: check, fmt, tricks and explain CODE; and usage errors."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.base.codes import CODES
from recipe.base.rendering import wants_color
from recipe.cli import COMMANDS
from recipe.plugins.vocabulary import DIRECTIVES, Vocabulary, words_of
from tests.helpers import EXAMPLES, ROOT, command

BAD = "base resnet50\nbach 256\nlr nan\n"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.recipe"
    file.write_text("base resnet50\ntweak C D\n")
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.recipe"
    file.write_text(BAD)
    return file


# ---- check


def test_check_reports_success(good: Path) -> None:
    found = command("check", good, good)
    assert (found.status, found.stdout, found.stderr) == (0, "2 recipes checked: no errors or warnings\n", "")


def test_check_shows_errors_like_a_compiler(bad: Path) -> None:
    found = command("check", bad)
    assert (found.status, found.stderr) == (2, "")
    assert (
        found.stdout
        == f"""\
error[E020]: unknown verb `bach`
 --> {bad}:2:1
  |
2 | bach 256
  | ^^^^
  = help: did you mean `batch`?

error[E023]: `lr` takes a number above 0 and at most 1000, not `nan`
 --> {bad}:3:4
  |
3 | lr nan
  |    ^^^
  = help: the clauses of `lr` are `cosine`, `head`, `layers`, `per`, `step`, `warmup`

1 recipe checked: 2 errors, 0 warnings
"""
    )


def test_check_shows_warnings_and_passes(tmp_path: Path) -> None:
    file = tmp_path / "a.recipe"
    file.write_text("base resnet50; epochs 3; lr warmup 5")
    found = command("check", file)
    assert found.status == 0
    assert "warning[W001]: the warmup until epoch 5 covers the entire training" in found.stdout
    assert found.stdout.endswith("1 recipe checked: 0 errors, 1 warning\n")


def test_check_reports_a_shared_include_once(tmp_path: Path) -> None:
    (tmp_path / "below.recipe").write_text("base resnet50; epochs 3; lr warmup 5")
    files = [tmp_path / "a.recipe", tmp_path / "b.recipe"]
    for file in files:
        file.write_text('include "below.recipe"')
    assert command("check", *files).stdout.endswith("2 recipes checked: 0 errors, 1 warning\n")


def test_check_prints_json(bad: Path, good: Path) -> None:
    found = command("check", bad, "--format=json")
    assert found.status == 2
    assert json.loads(found.stdout) == {
        "schema_version": 1,
        "diagnostics": [
            {
                "code": "E020",
                "severity": "error",
                "message": "unknown verb `bach`",
                "place": {"file": str(bad), "line": 2, "column": 1, "text": "bach"},
                "others": [],
                "help": "did you mean `batch`?",
            },
            {
                "code": "E023",
                "severity": "error",
                "message": "`lr` takes a number above 0 and at most 1000, not `nan`",
                "place": {"file": str(bad), "line": 3, "column": 4, "text": "nan"},
                "others": [],
                "help": "the clauses of `lr` are `cosine`, `head`, `layers`, `per`, `step`, `warmup`",
            },
        ],
    }
    assert json.loads(command("check", good, "--format=json").stdout) == {"schema_version": 1, "diagnostics": []}


def test_check_prints_workflow_commands(bad: Path, good: Path, tmp_path: Path) -> None:
    lines = command("check", bad, "--format=github").stdout.splitlines()
    assert lines == [
        f"::error file={bad},line=2,col=1,title=E020::unknown verb `bach`%0Ahelp: did you mean `batch`?",
        f"::error file={bad},line=3,col=4,title=E023::`lr` takes a number above 0 and at most 1000, not `nan`"
        "%0Ahelp: the clauses of `lr` are `cosine`, `head`, `layers`, `per`, `step`, `warmup`",
    ]
    assert command("check", good, "--format=github").stdout == ""
    odd = tmp_path / "a,b:100%.recipe"
    odd.write_text("bach 1")
    assert "file=" + str(tmp_path) + "/a%2Cb%3A100%25.recipe,line=1" in command("check", odd, "--format=github").stdout


def test_check_reads_standard_input_examples_and_text() -> None:
    assert command("check", "-", stdin=b"base resnet50").status == 0
    assert "--> <stdin>:1:1" in command("check", "-", stdin=b"bach 1").stdout
    assert command("check", "quick", "full.recipe").status == 0
    assert command("check", "base resnet50; tweak C").status == 0
    assert "--> <text>:1:16" in command("check", "base resnet50; twek C").stdout


def test_check_passes_the_examples() -> None:
    found = command("check", *EXAMPLES)
    assert found.status == 0
    assert found.stdout.splitlines()[-1].startswith(f"{len(EXAMPLES)} recipes checked: ")
    assert "error[" not in found.stdout


def test_check_prints_no_colors_to_a_file(bad: Path) -> None:
    assert "\x1b" not in command("check", bad).stdout


# ---- fmt


def test_fmt_writes_the_canonical_layout(tmp_path: Path) -> None:
    file = tmp_path / "a.recipe"
    file.write_bytes(b"\xef\xbb\xbfbase  resnet50;batch 8 # why\r\n\r\n\r\n# end")
    found = command("fmt", file)
    assert (found.status, found.stdout, found.stderr) == (0, "", f"changed {file}\n")
    assert file.read_bytes() == b"base resnet50\nbatch 8  # why\n\n# end\n"
    again = command("fmt", file)
    assert (again.status, again.stdout, again.stderr) == (0, "", "")


def test_fmt_check_changes_nothing(tmp_path: Path, good: Path) -> None:
    file = tmp_path / "a.recipe"
    file.write_text("base  resnet50")
    found = command("fmt", "--check", file, good)
    assert (found.status, found.stdout, found.stderr) == (1, "", f"would change {file}\n")
    assert file.read_text() == "base  resnet50"
    assert command("fmt", "--check", good).status == 0


def test_fmt_of_standard_input_goes_to_standard_output() -> None:
    found = command("fmt", "-", stdin=b"base  resnet50;tweak C")
    assert (found.status, found.stdout, found.stderr) == (0, "base resnet50\ntweak C\n", "")
    assert command("fmt", "--check", "-", stdin=b"base  resnet50").status == 1


def test_fmt_needs_only_valid_syntax(tmp_path: Path) -> None:
    file = tmp_path / "a.recipe"
    file.write_text("no-such-verb  x=1")
    assert command("fmt", file).status == 0
    assert file.read_text() == "no-such-verb x=1\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"lr 5x\nbase  resnet50", "E011"), (b"\xff", "E002"), (b"a\0", "E002"), (b"a 1\n" * 1001, "E005")],
)
def test_fmt_leaves_a_file_alone_if_it_cannot_read_it(content: bytes, code: str, tmp_path: Path) -> None:
    file, other = tmp_path / "a.recipe", tmp_path / "b.recipe"
    file.write_bytes(content)
    other.write_text("base  resnet50")
    found = command("fmt", file, other, tmp_path / "none.recipe")
    assert found.status == 2
    assert f"error[{code}]" in found.stderr
    assert "error[E001]" in found.stderr
    assert file.read_bytes() == content
    assert other.read_text() == "base resnet50\n"


def test_fmt_keeps_permissions_and_symbolic_links(tmp_path: Path) -> None:
    file, link = tmp_path / "a.recipe", tmp_path / "link.recipe"
    file.write_text("base  resnet50")
    file.chmod(0o640)
    link.symlink_to("a.recipe")
    assert command("fmt", link).status == 0
    assert link.is_symlink()
    assert file.read_text() == "base resnet50\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.recipe", "link.recipe"]


def test_the_examples_are_formatted() -> None:
    assert command("fmt", "--check", *EXAMPLES).status == 0


# ---- tricks


def test_tricks_lists_every_word_with_a_sentence(vocabulary: Vocabulary) -> None:
    found = command("tricks")
    assert (found.status, found.stderr) == (0, "")
    lines = [re.split(r"\s{2,}", line, maxsplit=1) for line in found.stdout.splitlines()]
    assert {words for words, _ in lines} == {words_of(key) for key in vocabulary.keys()} | set(DIRECTIVES)  # noqa: SIM118
    assert all(sentence.endswith(".") and sentence[0].isupper() for _, sentence in lines)
    assert [words for words, _ in lines][:2] == ["base", "tweak A"]


def test_tricks_shows_sources_and_values_in_full() -> None:
    assert "\nHe et al. 2019, section 2.1.\n" in command("tricks", "optimizer", "nag").stdout
    assert "(increasing numbers, each a number above 0; required)" in command("tricks", "lr", "step").stdout


def test_tricks_of_a_verb() -> None:
    found = command("tricks", "lr")
    assert found.status == 0
    for said in ("lr [RATE] [EVERY]", "lr warmup EPOCHS", "lr step EPOCHS… [by=BY]", "lr cosine [FLOOR]"):
        assert said in found.stdout.splitlines()


def test_tricks_of_a_clause_describes_it_in_full() -> None:
    found = command("tricks", "loss", "smooth")
    assert command("tricks", "loss smooth").stdout == found.stdout
    assert found.status == 0
    for said in (
        "loss smooth [EPSILON] [OVER]",
        "Take some of the probability of the true class",
        "He et al. 2019, section 5.2",
        "probability to spread (a number of at least 0 and below 1; default 0.1)",
        "default others; gluoncv: all; torchvision: all",
        "writes   targets",
        "package  recipe-compiler",
    ):
        assert said in found.stdout


def test_a_source_in_the_first_line_of_a_file_is_shown(tmp_path: Path) -> None:
    lines = ['"""sharpen: more of it. Someone 1999."""', "from recipe.api import Trick, trick", '@trick("sharpen")']
    (tmp_path / "x.py").write_text("\n".join([*lines, "class Sharpen(Trick):", '    """Sharpen."""']))
    assert "\nSomeone 1999.\n" in command("tricks", "sharpen", "--plugin", tmp_path / "x.py").stdout


@pytest.mark.parametrize("verb", DIRECTIVES)
def test_tricks_describes_directives(verb: str) -> None:
    assert command("tricks", verb).stdout == f"{DIRECTIVES[verb]}\n"


def test_tricks_has_a_page_for_every_trick(vocabulary: Vocabulary) -> None:
    for verb, name in vocabulary.keys():  # noqa: SIM118
        found = command("tricks", verb, *filter(None, [name]))
        assert found.status == 0
        assert found.stdout.startswith(vocabulary.load(verb, name or None).declared.syntax if name else verb)


@pytest.mark.parametrize(
    ("words", "code", "help"),
    [
        (["bach"], "E020", "did you mean `batch`?"),
        (["lr", "cosin"], "E021", "did you mean `cosine`?"),
        (["lr", "qqqq"], "E021", "`cosine`, `head`, `layers`, `per`, `step`, `warmup`"),
        (["include", "x"], "E021", ""),
    ],
)
def test_tricks_of_unknown_words(words: list[str], code: str, help: str) -> None:
    found = command("tricks", *words)
    assert (found.status, found.stdout) == (2, "")
    assert f"error[{code}]" in found.stderr
    assert help in found.stderr


# ---- codes


@pytest.mark.parametrize("code", CODES)
def test_explain_describes_a_code(code: str) -> None:
    title, text = CODES[code]
    found = command("explain", code)
    assert (found.status, found.stderr) == (0, "")
    assert found.stdout.startswith(f"{code}: {title}\n\n")
    assert found.stdout.split("\n\n", 1)[1].split() == text.split()


def test_explain_ignores_the_case_of_a_code() -> None:
    assert command("explain", "e021").stdout == command("explain", "E021").stdout


def test_explain_of_an_unknown_code() -> None:
    found = command("explain", "E999")
    assert (found.status, found.stdout) == (2, "")
    assert "E999" in found.stderr
    assert "Traceback" not in found.stderr


def test_every_code_is_well_formed() -> None:
    for code, (title, text) in CODES.items():
        assert re.fullmatch(r"[EW]\d{3}", code)
        assert title == title.strip()
        assert title[0].islower()
        assert not title.endswith(".")
        assert text[0].isupper() or text[0] == "`"
        assert text.endswith(".")
    assert list(CODES) == sorted(CODES)


def _codes_in_the_source() -> set[str]:
    found = set()
    for folder in ("recipe", "tricks"):
        for path in (ROOT / folder).rglob("*.py"):
            if path != ROOT / "recipe" / "codes.py":
                nodes = ast.walk(ast.parse(path.read_text("utf-8")))
                texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
                found |= {text for text in texts if re.fullmatch(r"[EW]\d{3}", text)}
    return found


def test_the_codes_in_the_source_match_the_explained_codes() -> None:
    assert _codes_in_the_source() == set(CODES)


# ---- usage


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Usage: "),
        (["chek"], "unknown command `chek`; did you mean `check`?"),
        (["qqqqqqq"], "unknown command `qqqqqqq`"),
        (["--what"], "no such option"),
        (["check"], "Missing argument 'FILE…'"),
        (["check", "quick", "--format", "xml"], "Invalid value for '--format'"),
        (["check", "quick", "--formt", "json"], "no such option"),
        (["fmt"], "Missing argument 'FILE…'"),
        (["tricks", "a", "b", "c"], "Got unexpected extra argument"),
        (["explain"], "Missing argument"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], said: str) -> None:
    found = command(*arguments)
    assert found.status == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)])
def test_every_command_has_help(arguments: list[str]) -> None:
    found = command(*arguments)
    assert (found.status, found.stderr) == (0, "")
    assert found.stdout.startswith("Usage: ")


def test_the_commands_are_listed() -> None:
    listed = re.findall(r"^  ([\w-]+) ", command("--help").stdout.partition("\n\nTrain:")[2], re.M)
    assert listed == [*COMMANDS]


# ---- as programs


def _program(*arguments: str | Path, code: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "recipe"]
    environment = {name: value for name, value in os.environ.items() if name != "RECIPE_DEBUG"}
    call = [sys.executable, *start, *map(str, arguments)]
    return subprocess.run(call, input=stdin, capture_output=True, text=True, cwd=ROOT, env=environment)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["check", "full"], 0),
        (["check", "bach 1; lr nan"], 2),
        (["fmt", "--check", "examples/quick.recipe"], 0),
        (["tricks"], 0),
        (["tricks", "augment"], 0),
        (["explain", "E021"], 0),
        (["export", "--help"], 0),
        (["finish", "no such run"], 2),
        (["--version"], 0),
        (["run", "bach 1; base resnet18"], 2),
        (["explain", "bach 1; base resnet18"], 2),
    ],
)
def test_commands_that_need_no_torch_do_not_import_it(arguments: list[str], status: int) -> None:
    code = (
        "import sys, recipe.cli\n"
        "try: recipe.cli.main()\n"
        "finally: print({'torch', 'numpy', 'torchvision'} & set(sys.modules), file=sys.stderr)"
    )
    found = _program(*arguments, code=code)
    assert found.returncode == status
    assert found.stderr.splitlines()[-1] == "set()"


def test_as_a_program(bad: Path) -> None:
    found = _program("check", bad)
    assert (found.returncode, found.stderr) == (2, "")
    assert "did you mean `batch`?" in found.stdout
    piped = _program("fmt", "-", stdin="base  resnet50;tweak C")
    assert (piped.returncode, piped.stdout) == (0, "base resnet50\ntweak C\n")


@pytest.mark.parametrize("words", [["check", "-"], ["fmt", "-"], ["diff", "-", "-"]])
def test_closed_standard_input(words: list[str]) -> None:
    call = f"{sys.executable} -m recipe {' '.join(words)} <&-"
    found = subprocess.run(["bash", "-c", call], capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 2
    assert "error[E001]: standard input is closed" in found.stdout + found.stderr


def test_an_encoding_without_our_characters() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    call = [sys.executable, "-m", "recipe", "tricks", "augment", "mixup"]
    found = subprocess.run(call, capture_output=True, cwd=ROOT, env=environment)
    assert (found.returncode, found.stderr) == (0, b"")
    assert b"\\u" in found.stdout


@pytest.mark.parametrize("words", ["tricks", "--help", "run --help"])
def test_a_reader_that_exits_early_is_not_an_error(words: str) -> None:
    call = f"{sys.executable} -m recipe {words} | true; exit ${{PIPESTATUS[0]}}"
    found = subprocess.run(["bash", "-c", call], capture_output=True, text=True, cwd=ROOT)
    assert found.returncode in (0, 141)  # 0: everything was written before
    assert found.stderr == ""


@pytest.mark.parametrize("words", [["base resnet18"], ["--json"], ["--device", "cpu"], ["--plugin", "x.py"]])
def test_a_code_takes_no_other_arguments(words: list[str]) -> None:
    found = command("explain", "E021", *words)
    assert (found.status, "takes no other arguments or options" in found.stderr) == (2, True)


def test_a_deleted_working_directory(tmp_path: Path) -> None:
    call = f"mkdir x; cd x; rmdir ../x; exec {sys.executable} -P -m recipe check full"
    found = subprocess.run(["bash", "-c", call], capture_output=True, text=True, cwd=tmp_path)
    assert (found.returncode, found.stderr.splitlines()[0]) == (
        2,
        "error[E001]: the working directory no longer exists",
    )


@pytest.mark.parametrize(
    ("variables", "wanted"), [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, False)]
)
def test_when_output_is_colored(variables: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wants_color(Terminal()) is wanted
    assert not wants_color(io.StringIO())


def test_a_folder_does_not_hide_a_shipped_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    monkeypatch.chdir(tmp_path)
    assert command("check", "full").status == 0
