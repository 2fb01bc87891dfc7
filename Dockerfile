# ccrop with torch for the CPU, or with CUDA: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#   docker build -t ccrop .
#   docker run --rm -v "$PWD:/data" ccrop train simsiam_region_folder --data-root photos --work-dir runs/photos
FROM python:3.11-slim-bookworm

# shared libraries of OpenCV and Open3D
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libusb-1.0-0 \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir torch==2.14.1 torchvision==0.29.1 --index-url "$TORCH_INDEX"

COPY . /opt/ccrop
RUN pip install --no-cache-dir '/opt/ccrop[export,lidar]'

WORKDIR /data
ENTRYPOINT ["ccrop"]
CMD ["--help"]
