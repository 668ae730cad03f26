"""One perturbation, or one network, for all inputs."""
