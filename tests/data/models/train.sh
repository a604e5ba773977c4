#!/bin/bash
# Trains the small models from train.txt (one line of sample text a line) with
# Debian's spm_train (sentencepiece 0.1.97-3+b1). The text comes out of data/sample:
#   for f in sample_*.jsonl.zst; do zstd -dc $f; done | jq -r .text | grep -v '^[[:space:]]*$' > train.txt
# usage: train.sh train.txt outdir
set -e
mkdir -p "$2"; cp "$1" "$2/train.txt"; cd "$2"; T=train.txt; O=.
trap 'rm -f train.txt' EXIT
tr_() { n=$1; shift; spm_train --input="$T" --model_prefix="$n" --num_threads=2 --max_sentence_length=8192 --input_sentence_size=40000 --shuffle_input_sentence=false --minloglevel=2 "$@" >/dev/null 2>"$O/$n.log" || { echo "FAILED $n"; tail -3 "$O/$n.log"; }; rm -f "$O/$n.log" "$O/$n.vocab"; }
tr_ demo_bpe_8k_bytefallback --model_type=bpe --vocab_size=8000 --character_coverage=0.9995 --byte_fallback=true --normalization_rule_name=identity --remove_extra_whitespaces=false --split_digits=true --allow_whitespace_only_pieces=true --unk_surface=" ⁇ "
tr_ demo_unigram_8k_nmt_nfkc --model_type=unigram --vocab_size=8000 --character_coverage=0.9995
tr_ unigram_2k_nfkc_cf_bytefb --model_type=unigram --vocab_size=2000 --byte_fallback=true --character_coverage=0.98 --normalization_rule_name=nmt_nfkc_cf
tr_ unigram_2k_identity_nodummy --model_type=unigram --vocab_size=2000 --character_coverage=0.99 --normalization_rule_name=identity --add_dummy_prefix=false --remove_extra_whitespaces=false
tr_ bpe_2k_nfkc_nobytefb --model_type=bpe --vocab_size=2000 --character_coverage=0.99 --normalization_rule_name=nfkc
tr_ bpe_2k_suffix_bytefb --model_type=bpe --vocab_size=2000 --character_coverage=0.98 --byte_fallback=true --normalization_rule_name=identity --treat_whitespace_as_suffix=true --remove_extra_whitespaces=false
tr_ bpe_2k_uds_ctrl_nodummy --model_type=bpe --vocab_size=2000 --character_coverage=0.98 --byte_fallback=true --normalization_rule_name=identity --add_dummy_prefix=false --remove_extra_whitespaces=false --allow_whitespace_only_pieces=true --control_symbols='<|im_start|>,<|im_end|>' --user_defined_symbols='<|user|>,<|assistant|>,  ,    ,0,1,2,3,4,5,6,7,8,9,👩‍🦯,</code>' --pad_id=3
tr_ bpe_2k_nosplit --model_type=bpe --vocab_size=2000 --character_coverage=0.98 --byte_fallback=true --normalization_rule_name=identity --split_by_whitespace=false --split_by_unicode_script=false --split_by_number=false --max_sentencepiece_length=32 --input_sentence_size=12000
tr_ char_1k --model_type=char --vocab_size=1000 --hard_vocab_limit=false --character_coverage=0.999
tr_ word_4k --model_type=word --vocab_size=4000 --character_coverage=0.999
tr_ unigram_1k_ids --model_type=unigram --vocab_size=1000 --character_coverage=0.98 --pad_id=0 --unk_id=3 --bos_id=-1 --eos_id=1 --unk_surface="<?>" --unk_piece="[UNK]" --eos_piece="</doc>" --pad_piece="[PAD]" --normalization_rule_name=nmt_nfkc
