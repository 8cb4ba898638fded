"""What LiteRT's converter needs beside a SavedModel: loops that it has operators for, and fewer bits."""
