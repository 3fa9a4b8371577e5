"""Recordings and spikes in the forms of other libraries: `pandas`, `xarray`, `neo`, `nir`, `npz`, one module each.

`Recording.to_pandas()` and the other methods of recordings and spikes lead here. A library is imported when its form is asked for.
"""
