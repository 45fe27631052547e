"""The numbers of a server in Prometheus' text format, at `/plugins/metrics`.

options     `[plugins.metrics]`        plugin      the extension, and who may read
tally       what is counted: a pure function of the journal
census      the tally to begin with: every job once
follower    keeps a tally at the journal's end, the same one in all processes
exposition  the tally and the health of all parts as metrics
"""
