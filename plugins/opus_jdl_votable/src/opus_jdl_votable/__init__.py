"""Job descriptions as VOTable."""
