"""The local page, on which people look at photographs and correct marks, and the REST interface. Needs the extra `serve`."""
