"""A job that does well."""

import sys

sys.stdout.write("All is well.\n")
