"""Names and units that the Climate Data Store leaves open or writes in its own way.

Its netCDF files say ``standard_name: unknown`` for the commonest variables. The table is by the
short names of the files; a standard name that a file does give is kept.
"""

from __future__ import annotations

__all__ = ["SHORT_NAMES", "STANDARD_NAMES", "UNITS"]

STANDARD_NAMES = {
    "t2m": "air_temperature",
    "d2m": "dew_point_temperature",
    "u10": "eastward_wind",
    "v10": "northward_wind",
    "u100": "eastward_wind",
    "v100": "northward_wind",
    "msl": "air_pressure_at_mean_sea_level",
    "sp": "surface_air_pressure",
    "sst": "sea_surface_temperature",
    "skt": "surface_temperature",
    "tp": "lwe_thickness_of_precipitation_amount",
    "cp": "lwe_thickness_of_convective_precipitation_amount",
    "lsp": "lwe_thickness_of_stratiform_precipitation_amount",
    "sf": "lwe_thickness_of_snowfall_amount",
    "sd": "lwe_thickness_of_surface_snow_amount",
    "tcc": "cloud_area_fraction",
    "tcwv": "atmosphere_mass_content_of_water_vapor",
    "siconc": "sea_ice_area_fraction",
    "blh": "atmosphere_boundary_layer_thickness",
    "cape": "atmosphere_convective_available_potential_energy",
    "ssrd": "integral_wrt_time_of_surface_downwelling_shortwave_flux_in_air",
    "strd": "integral_wrt_time_of_surface_downwelling_longwave_flux_in_air",
    "sshf": "integral_wrt_time_of_surface_downward_sensible_heat_flux",
    "slhf": "integral_wrt_time_of_surface_downward_latent_heat_flux",
    "swh": "sea_surface_wave_significant_height",
    "stl1": "soil_temperature",
    "swvl1": "volume_fraction_of_condensed_water_in_soil",
    "lsm": "land_area_fraction",
    "z": "geopotential",
    "t": "air_temperature",
    "u": "eastward_wind",
    "v": "northward_wind",
    "w": "lagrangian_tendency_of_air_pressure",
    "q": "specific_humidity",
    "r": "relative_humidity",
    "vo": "atmosphere_relative_vorticity",
    "d": "divergence_of_wind",
    "pv": "ertel_potential_vorticity",
    "cc": "cloud_area_fraction_in_atmosphere_layer",
    "o3": "mass_fraction_of_ozone_in_air",
}

# Short names by the names that a request uses; to see that nothing is missing from an answer.
SHORT_NAMES = {
    "2m_temperature": "t2m",
    "2m_dewpoint_temperature": "d2m",
    "10m_u_component_of_wind": "u10",
    "10m_v_component_of_wind": "v10",
    "100m_u_component_of_wind": "u100",
    "100m_v_component_of_wind": "v100",
    "mean_sea_level_pressure": "msl",
    "surface_pressure": "sp",
    "sea_surface_temperature": "sst",
    "skin_temperature": "skt",
    "total_precipitation": "tp",
    "total_cloud_cover": "tcc",
    "total_column_water_vapour": "tcwv",
    "snow_depth": "sd",
    "surface_solar_radiation_downwards": "ssrd",
    "surface_thermal_radiation_downwards": "strd",
    "geopotential": "z",
    "temperature": "t",
    "u_component_of_wind": "u",
    "v_component_of_wind": "v",
    "vertical_velocity": "w",
    "specific_humidity": "q",
    "relative_humidity": "r",
}

# Units that UDUNITS cannot read; radiation comes accumulated, in joules.
UNITS = {
    "(0 - 1)": "1",
    "dimensionless": "1",
    "Proportion": "1",
    "~": "1",
    "m of water equivalent": "m",
    "m of water": "m",
}
