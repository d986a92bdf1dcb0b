# Images of our Airbyte sources, from the root of the repository:
#   docker build --file docker/airbyte.Dockerfile --target source-d365 --tag annexcloud/source-d365:0.1.0 .
#   docker build --file docker/airbyte.Dockerfile --target source-annex --tag annexcloud/source-annex:0.1.0 .
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
# The versions that are tested. pip takes no hashes beside a package that is built here.
RUN sed -e 's/ *\\$//' -e '/^ *--hash/d' requirements.lock > /constraints.txt \
    && python -m venv /opt/annex-d365 \
    && /opt/annex-d365/bin/pip install --no-cache-dir --constraint /constraints.txt .

FROM python:3.12-slim AS base
RUN useradd --uid 1000 --create-home airbyte
COPY --from=build /opt/annex-d365 /opt/annex-d365
ENV PATH=/opt/annex-d365/bin:$PATH PYTHONUNBUFFERED=1
USER airbyte
WORKDIR /home/airbyte
LABEL io.airbyte.version=0.1.0

# Airbyte starts what AIRBYTE_ENTRYPOINT says.
FROM base AS source-annex
LABEL io.airbyte.name=annexcloud/source-annex
ENV AIRBYTE_ENTRYPOINT=/opt/annex-d365/bin/source-annex
ENTRYPOINT ["/opt/annex-d365/bin/source-annex"]

FROM base AS source-d365
LABEL io.airbyte.name=annexcloud/source-d365
ENV AIRBYTE_ENTRYPOINT=/opt/annex-d365/bin/source-d365
ENTRYPOINT ["/opt/annex-d365/bin/source-d365"]
