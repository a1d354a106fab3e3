#!/bin/bash
# What a node does without us, for side-by-side timing: peer.sh MKFS LAYER WORKDIR. Prints the root hash.
# Decompress, mkfs.erofs --tar=i, append the tar, veritysetup format with 512-byte blocks.
set -euo pipefail
mkfs=$1 layer=$2 work=$3
case $layer in
    *.gz) unpack=(gzip -dc) ;;
    *.zst) unpack=(zstd -dcq) ;;
    *) unpack=(cat) ;;
esac
mkdir -p "$work"
"${unpack[@]}" "$layer" >"$work/layer.tar"
"$mkfs" --tar=i --aufs --quiet -T0 --mkfs-time -U 01234567-89ab-5def-8123-456789abcdef \
    "$work/blob" <"$work/layer.tar" >/dev/null
cat "$work/layer.tar" >>"$work/blob"
blocks=$((($(stat -c %s "$work/blob") + 511) / 512))
truncate -s $((blocks * 512)) "$work/blob"
veritysetup format --data-block-size=512 --hash-block-size=512 --salt="$(printf '0%.0s' {1..64})" \
    --data-blocks=$blocks --hash-offset=$((blocks * 512)) "$work/blob" "$work/blob" |
    awk '/Root hash/ {print $3}'
