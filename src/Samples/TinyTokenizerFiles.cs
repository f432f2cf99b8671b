namespace Phi3VCluster.Samples;

/// <summary>The tokenizer's files as Hugging Face writes them; everything but the vocabulary is the released model's.</summary>
internal sealed class TinyTokenizerFiles(TinyTokenizer tokenizer)
{
    private static readonly string[] AdditionalSpecialTokens = ["<|system|>", "<|end|>", "<|user|>"];

    public void Write(string folder)
    {
        Json.Write(Path.Combine(folder, "tokenizer.json"), TokenizerJson());
        Json.Write(Path.Combine(folder, "tokenizer_config.json"), TokenizerConfig());
        Json.Write(Path.Combine(folder, "special_tokens_map.json"), SpecialTokens());
    }

    private object TokenizerJson() => new
    {
        version = "1.0",
        truncation = (object?)null,
        padding = (object?)null,
        added_tokens = tokenizer.AddedTokens().Select(t => new
        {
            id = t.Id,
            content = t.Token.Content,
            single_word = false,
            lstrip = false,
            rstrip = t.Token.RightStrip,
            normalized = false,
            special = t.Token.Special,
        }),
        normalizer = new
        {
            type = "Sequence",
            normalizers = new object[]
            {
                new { type = "Prepend", prepend = TinyTokenizer.WordStart },
                new { type = "Replace", pattern = new { String = " " }, content = TinyTokenizer.WordStart },
            },
        },
        pre_tokenizer = (object?)null,
        post_processor = PostProcessor(),
        decoder = new
        {
            type = "Sequence",
            decoders = new object[]
            {
                new { type = "Replace", pattern = new { String = TinyTokenizer.WordStart }, content = " " },
                new { type = "ByteFallback" },
                new { type = "Fuse" },
                new { type = "Strip", content = " ", start = 1, stop = 0 },
            },
        },
        model = new
        {
            type = "BPE",
            dropout = (object?)null,
            unk_token = "<unk>",
            continuing_subword_prefix = (object?)null,
            end_of_word_suffix = (object?)null,
            fuse_unk = true,
            byte_fallback = true,
            ignore_merges = false,
            vocab = tokenizer.Pieces.Select((piece, id) => (piece, id)).ToDictionary(p => p.piece, p => p.id),
            merges = tokenizer.Merges,
        },
    };

    private static object PostProcessor()
    {
        static object Begin(int type) => new { SpecialToken = new { id = "<s>", type_id = type } };
        static object Text(string id, int type) => new { Sequence = new { id, type_id = type } };
        return new
        {
            type = "TemplateProcessing",
            single = new[] { Begin(0), Text("A", 0) },
            pair = new[] { Begin(0), Text("A", 0), Begin(1), Text("B", 1) },
            special_tokens = new Dictionary<string, object> { ["<s>"] = new { id = "<s>", ids = new[] { 1 }, tokens = new[] { "<s>" } } },
        };
    }

    private object TokenizerConfig() => new
    {
        add_bos_token = true,
        add_eos_token = false,
        added_tokens_decoder = tokenizer.AddedTokens().ToDictionary(t => t.Id.ToString(), t => new
        {
            content = t.Token.Content,
            lstrip = false,
            normalized = false,
            rstrip = t.Token.RightStrip,
            single_word = false,
            special = t.Token.Special,
        }),
        additional_special_tokens = AdditionalSpecialTokens,
        bos_token = "<s>",
        chat_template = "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n' }}"
            + "{% endfor %}{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}{{- '<|assistant|>\n' -}}{% endif %}",
        clean_up_tokenization_spaces = false,
        eos_token = TinyTokenizer.EndOfText,
        legacy = false,
        model_max_length = 131072,
        pad_token = TinyTokenizer.EndOfText,
        padding_side = "right",
        sp_model_kwargs = new { },
        tokenizer_class = "LlamaTokenizer",
        unk_token = "<unk>",
        use_default_system_prompt = false,
    };

    private static object SpecialTokens()
    {
        static object Plain(string content) => new { content, lstrip = false, normalized = false, rstrip = false, single_word = false };
        return new
        {
            additional_special_tokens = AdditionalSpecialTokens,
            bos_token = Plain("<s>"),
            eos_token = Plain(TinyTokenizer.EndOfText),
            pad_token = Plain(TinyTokenizer.EndOfText),
            unk_token = Plain("<unk>"),
        };
    }
}
