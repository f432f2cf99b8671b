namespace Phi3VCluster.Samples;

/// <summary>
/// Phi-3's tokenizer with a small vocabulary: BPE with byte fallback in which each word of the quickstart's pages and questions is one
/// token. Same normaliser, decoder and flags of the added tokens as the released one.
/// </summary>
internal sealed class TinyTokenizer
{
    public const string EndOfText = "<|endoftext|>";

    /// <summary>Stands for a blank, and is put before the text.</summary>
    public const string WordStart = "▁";

    // Ids 0, 1, 2; flags as released (</s> is not special there).
    private static readonly AddedToken[] Leading = [new("<unk>"), new("<s>"), new("</s>", RightStrip: true, Special: false)];

    // Ids after the vocabulary's.
    private static readonly AddedToken[] Trailing =
        [new(EndOfText), new("<|assistant|>", RightStrip: true), new("<|system|>"), new("<|end|>"), new("<|user|>")];

    private readonly List<string> _pieces = [.. Leading.Select(t => t.Content), .. Enumerable.Range(0, 256).Select(b => $"<0x{b:X2}>")];
    private readonly List<string> _merges = [];

    public TinyTokenizer()
    {
        var questions = Field.All.Select(field => field.Question.Split(' ')).ToList();
        var words = Field.All.SelectMany(field => field.Values).Concat(questions.SelectMany(q => q)).Distinct();
        // A question follows a line break and not a blank, so that its first word lacks the ▁. These come last: in BPE the earlier
        // merge wins, and inside a word that has its ▁ nothing but the word's own chain may begin.
        var firstWords = questions.Select(q => q[0]).Distinct();
        foreach (var word in words.Select(word => WordStart + word).Concat(firstWords))
            AddChain(word);
    }

    /// <summary>Ids are 0 to this, less one; the rows of the token embedding and of lm_head.</summary>
    public int VocabularySize => _pieces.Count + Trailing.Length;

    public int IdOf(string addedToken) => AddedTokens().First(t => t.Token.Content == addedToken).Id;

    /// <summary>In the order of their ids, 0 first.</summary>
    public IReadOnlyList<string> Pieces => _pieces;

    /// <summary>Earlier ones win.</summary>
    public IReadOnlyList<string> Merges => _merges;

    public IEnumerable<(int Id, AddedToken Token)> AddedTokens() =>
        [.. Leading.Select((token, i) => (i, token)), .. Trailing.Select((token, i) => (_pieces.Count + i, token))];

    /// <summary>
    /// Merges that build the word from its left end: ▁A, ▁AN, ▁ANN, ▁ANNA. As each needs the one before, no other word's merges can
    /// come between; words that begin alike (MAY, MARCH) share the start of theirs.
    /// </summary>
    private void AddChain(string word)
    {
        foreach (var character in word)
            AddPiece(character.ToString());
        for (var length = 1; length < word.Length; length++)
            if (AddPiece(word[..(length + 1)]))
                _merges.Add($"{word[..length]} {word[length]}");
    }

    private bool AddPiece(string piece)
    {
        if (_pieces.Contains(piece)) return false;
        _pieces.Add(piece);
        return true;
    }
}

/// <param name="RightStrip">Swallows the white space that follows.</param>
internal sealed record AddedToken(string Content, bool RightStrip = false, bool Special = true);
