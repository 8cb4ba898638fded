"""What people have and want to export: one file per kind of source, each with how it is recognised and opened.

`source` describes and recognises (in the parent, importing no framework); the others open (in a worker).
"""
