#!/usr/bin/env bash
# Environments of what mmdata is measured against, each of its own, so that no peer decides our versions nor we theirs.
#
#   benchmarks/peers.sh                  which there are
#   benchmarks/peers.sh straightforward  make out/peers/straightforward
#
# Then: OMP_NUM_THREADS=1 out/peers/straightforward/bin/python benchmarks/straightforward.py ...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

declare -A peers=(
  [audio]="kaldi-native-fbank==1.23.0 lhotse==1.33.0 librosa==0.11.0 numpy pyloudnorm soundfile soxr torch==2.13.0"
  [datasets]="datasets==5.2.0 numpy torch==2.13.0"
  [datatrove]="datatrove==0.10.1 ftfy nltk orjson spacy tldextract regex tokenizers xxhash<4"
  [img2dataset]="img2dataset==1.47.0 albumentations==1.4.24 opencv-python-headless==4.14.0.94"
  [juicer]="py-data-juicer==1.6.1 aiohttp"
  [juicer-video]="py-data-juicer==1.6.1 aiohttp av==18.1.0 opencv-python-headless==5.0.0.93"
  [litdata]="torch==2.13.0 boto3 filelock lightning-utilities numpy obstore opencv-python-headless==5.0.0.93 pillow requests tifffile urllib3"
  [mosaicml]="torch==2.13.0 boto3 brotli catalogue matplotlib numpy<2.2 paramiko<4 pillow python-snappy requests tqdm transformers<5 xxhash<4 zstd"
  [rensa]="rensa==0.5.0"
  [straightforward]="ftfy librosa numpy opencv-python-headless pyarrow pyloudnorm scikit-learn soundfile webdataset torch==2.13.0"
  [video]="av==18.1.0 numpy opencv-python-headless==5.0.0.93 scenedetect==0.7.2"
  [webdataset]="webdataset==1.0.2 torch==2.13.0 numpy opencv-python-headless==5.0.0.93 pillow"
)
# installed without what they ask for: torchvision is not needed for what is measured, nor are clients of clouds
declare -A bare=(
  [litdata]="litdata==0.2.76"
  [mosaicml]="mosaicml-streaming==0.13.0"
)

if [ $# -eq 0 ]; then
  printf '%s\n' "${!peers[@]}"
  exit
fi
for name in "$@"; do
  [ -n "${peers[$name]:-}" ] || { echo "no peer '$name'; there are: ${!peers[*]}" >&2; exit 2; }
  "${PYTHON:-python3.11}" -m venv --clear "out/peers/$name"
  # shellcheck disable=SC2086  # the requirements are words
  "out/peers/$name/bin/python" -m pip install --quiet --no-compile ${peers[$name]}
  # shellcheck disable=SC2086
  [ -z "${bare[$name]:-}" ] || "out/peers/$name/bin/python" -m pip install --quiet --no-compile --no-deps ${bare[$name]}
  echo "out/peers/$name"
done
