"""What no slide speaks of: files, tables, figures, progress bars, the threads of the BLAS library."""
