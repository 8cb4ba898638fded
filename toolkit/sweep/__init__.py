"""Many models at once: a TOML file of exports, carried out side by side, resumed where they stopped, told as one table.

`entries` reads the file, `fingerprint` says what an export depends on, `task` carries one out, `local` and `on_ray`
are the places where tasks run, `conduct` hands them out, `records` keeps what became of each.
"""
