"""Big folders: many images through worker processes or Ray Data into Parquet parts, a job that goes
on where it was stopped.

    sources -> items -> workers: load, detect, align -> found -> network over the faces of many
    images -> rows -> parts

An item is an image's name and where it lies, never its bytes: those are read in the worker and
leave it as crops of faces. No image is written to disk, logged, or put into Ray's object store,
which may spill to disk.
"""
