"""A job that fails: the last line that it writes is the error that is shown."""

msg = "this job fails, to show what becomes of it"
raise RuntimeError(msg)
