"""What makes the pages and pictures of docs/; no part of the program."""
