"""HTML to read and print: of a model measured on labelled photographs (`study`), of both sides of one face (`visit`).

A page stands alone: no script, no font, no picture is fetched, and its content security policy forbids it to. Needs the extra
`report`. All words are in `acne_edge.catalogue`.
"""
