"""Convolution and pooling on NHWC arrays: the only loops over pixels in the library."""
