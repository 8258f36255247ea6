// The precompiled header is built from this file.
