"""Django: orders are stored by Django, and a command delivers their invoices.

``pip install 'ksef_async[xades,durable]' django``; add ``django_shop`` to INSTALLED_APPS, set the variables KSEF_ENV,
KSEF_NIP, KSEF_PKCS12_FILE and KSEF_KEY_PASSWORD, and run ``manage.py deliver_invoices`` beside the web processes.
"""
