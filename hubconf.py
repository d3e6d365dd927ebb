"""The entry points of `torch.hub`, under the names of 2019.

Each is the `from_pretrained` of its class, and takes the arguments of that: a name, a Hub id, a
folder or an archive, then `cache_dir`, `num_labels` and so on. The package has a part in C++, so it
has to be installed first.

    model = torch.hub.load(repository, "bertForSequenceClassification", "bert-base-uncased")

`repository` is OWNER/NAME on GitHub, or the path of a copy with `source="local"`.
"""

import ptbert as _ptbert

# Which brings everything else.
dependencies = ["ptbert"]

bertTokenizer = _ptbert.BertTokenizer.from_pretrained
bertModel = _ptbert.BertModel.from_pretrained
bertForPreTraining = _ptbert.BertForPreTraining.from_pretrained
bertForMaskedLM = _ptbert.BertForMaskedLM.from_pretrained
bertForNextSentencePrediction = _ptbert.BertForNextSentencePrediction.from_pretrained
bertForSequenceClassification = _ptbert.BertForSequenceClassification.from_pretrained
bertForMultipleChoice = _ptbert.BertForMultipleChoice.from_pretrained
bertForTokenClassification = _ptbert.BertForTokenClassification.from_pretrained
bertForQuestionAnswering = _ptbert.BertForQuestionAnswering.from_pretrained

openAIGPTTokenizer = _ptbert.OpenAIGPTTokenizer.from_pretrained
openAIGPTModel = _ptbert.OpenAIGPTModel.from_pretrained
openAIGPTLMHeadModel = _ptbert.OpenAIGPTLMHeadModel.from_pretrained
openAIGPTDoubleHeadsModel = _ptbert.OpenAIGPTDoubleHeadsModel.from_pretrained

gpt2Tokenizer = _ptbert.GPT2Tokenizer.from_pretrained
gpt2Model = _ptbert.GPT2Model.from_pretrained
gpt2LMHeadModel = _ptbert.GPT2LMHeadModel.from_pretrained
gpt2DoubleHeadsModel = _ptbert.GPT2DoubleHeadsModel.from_pretrained

transformerXLTokenizer = _ptbert.TransfoXLTokenizer.from_pretrained
transformerXLModel = _ptbert.TransfoXLModel.from_pretrained
transformerXLLMHeadModel = _ptbert.TransfoXLLMHeadModel.from_pretrained
