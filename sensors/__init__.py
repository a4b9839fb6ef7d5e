"""When something happens: a module per kind of event. Bodies are short: what is due or wrong is judged by
``affiliate_empire.operations`` and ``assets.readiness``, and a sensor asks for the run that answers.
"""
