"""What LiteRT's converter needs beside a SavedModel: other spellings of what it has no operator for, and fewer bits."""
