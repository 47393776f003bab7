"""Codecs: records into events, with secrets masked before anything is stored. Imports the model only."""
