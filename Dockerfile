FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/eventferry
COPY requirements.txt requirements-apprise.txt ./
# With --build-arg APPRISE=1 it can tell the services of Apprise.
ARG APPRISE
RUN /opt/eventferry/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r requirements${APPRISE:+-apprise}.txt
COPY . ./
RUN /opt/eventferry/bin/pip install --no-cache-dir --no-deps --no-index --no-build-isolation .

FROM python:3.13-slim
COPY --from=build /opt/eventferry /opt/eventferry
# A new volume takes owner and mode from this folder.
RUN install -d -o 65532 -g 65532 -m 0700 /data
ENV PATH=/opt/eventferry/bin:$PATH STATE_DIRECTORY=/data
# A number, so that an orchestrator can see that it is not root.
USER 65532:65532
# The config too, as `init` writes it; or it is mounted at /etc/eventferry, with its secrets beside it or in /run/secrets.
VOLUME /data
WORKDIR /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["eventferry"]
CMD ["run"]
