"""sofit_grammars"""
