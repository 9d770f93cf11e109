"""sofit_viggo"""
