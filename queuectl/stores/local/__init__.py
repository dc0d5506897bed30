"""The store that is a data folder."""
