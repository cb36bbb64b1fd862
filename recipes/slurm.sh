#!/usr/bin/env bash
# A Slurm job that trains on several machines of several GPUs each: sbatch recipes/slurm.sh TRAIN_DIR VALID_DIR EXP_DIR [OPTION ...]
# EXP_DIR holds tokenizer.model (stage tokenizer of asr.sh) and lies, as the data does, on a disk that all machines see.
#SBATCH --job-name=audioroto
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@300
# Five minutes before the end, and when the job is preempted, Slurm sends SIGTERM: training saves, and goes on when the
# job is submitted again.
set -euo pipefail

(($# >= 3)) || {
    printf 'usage: sbatch %s TRAIN_DIR VALID_DIR EXP_DIR [OPTION ...]\n' "$0" >&2
    exit 2
}
train_dir=$1
valid_dir=$2
exp_dir=$3
shift 3

# Note: Slurm runs a copy of this file; the checkout is where sbatch was called.
cd -- "${SLURM_SUBMIT_DIR:-.}"
# shellcheck source=recipes/path.sh
. recipes/path.sh
nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")

# The parts of an update are shared out to all GPUs: batch_seconds = parts × micro_batch_seconds, at least one a GPU.
srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "$SLURM_GPUS_ON_NODE" \
    --rdzv-backend c10d --rdzv-endpoint "${nodes%%$'\n'*}:29500" --rdzv-id "$SLURM_JOB_ID" \
    -m audioroto train --train-dir "$train_dir" --valid-dir "$valid_dir" --tokenizer "$exp_dir/tokenizer.model" \
    --exp-dir "$exp_dir" --set train.batch_seconds=960 --set train.micro_batch_seconds=120 "$@"
