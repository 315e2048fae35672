"""A simulated machine: a disk that keeps, loses and reorders what real ones do, its user, and the watcher of its folders."""
