"""Files as pictures, one module for each format; knows what is stored, not what axes are for."""
