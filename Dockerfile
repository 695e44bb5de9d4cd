# histoprompt's command line on processors, without a screen:
#   docker build -t histoprompt .
#   docker run --rm -v "$PWD:/data" histoprompt count /data/slide.svs --out /data/counts
FROM python:3.12-slim

WORKDIR /opt/histoprompt
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY sample_data sample_data
RUN pip install --no-cache-dir ".[dicom]"

# Labels, counts, weights and caches; mount a folder here to keep them.
ENV HISTOPROMPT_HOME=/data/histoprompt
RUN useradd --create-home user && mkdir /data && chown user /data
USER user
WORKDIR /data
ENTRYPOINT ["histoprompt"]
CMD ["--help"]
