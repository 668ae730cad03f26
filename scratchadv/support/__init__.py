"""Everything that is not on the slides: files, tables, figures, progress bars, the threads of the BLAS library."""
