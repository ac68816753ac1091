"""Commands for whoever runs a study: doctor, init, check, status, track."""
