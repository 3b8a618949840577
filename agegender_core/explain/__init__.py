"""Why a model answered as it did: attention masks, saliency, faithfulness, mask ablation."""
