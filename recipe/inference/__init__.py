"""What a trained model is used for: opening a run, predictions, evaluation. Trainings evaluate with it too."""
