# For a Hugging Face Space with «sdk: docker», or any other host. Everything is in the image: nothing is fetched when it starts, nothing is
# written outside of /tmp.
FROM python:3.11-slim

# The Space runs as user 1000; the files belong to root, so that the app cannot change them.
RUN useradd --create-home --uid 1000 user
WORKDIR /app

# PyTorch's CPU build first: the registry's default carries CUDA and is ten times as large.
COPY requirements.txt .
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu $(grep -E '^(torch|torchvision)==' requirements.txt) \
 && pip install --no-cache-dir -r requirements.txt

COPY . .
RUN sh deploy/check_image.sh

USER 1000
# Hosts put the app into a frame of another site and speak HTTPS before it: the XSRF cookie must be allowed there. Their proxies, which are
# on private networks, are believed when they name a visitor's address: the limits count by visitor.
ENV HOME=/tmp/home \
    PYTHONDONTWRITEBYTECODE=1 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501 \
    STREAMLIT_SERVER_HEADLESS=true \
    STREAMLIT_SERVER_XSRF_COOKIE_SAME_SITE=none \
    FORWARDED_ALLOW_IPS=127.0.0.1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16 \
    STREAMLIT_BROWSER_SERVER_ADDRESS=localhost
EXPOSE 8501
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/ready', timeout=5)"]
CMD ["sh", "deploy/start.sh"]
