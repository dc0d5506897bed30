"""The measurements of ``docs/performance.md``: QueueCTL beside bare programs, in turns."""
