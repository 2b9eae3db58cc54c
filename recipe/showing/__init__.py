"""Images to look at before training: a sheet of what the network sees, and a report about the dataset."""
