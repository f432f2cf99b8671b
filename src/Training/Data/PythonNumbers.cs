namespace Phi3VCluster.Training.Data;

/// <summary>
/// Python's json writes NaN and Infinity, and pandas NaN for an empty cell; JSON has neither. Makes them null, outside texts, in bytes that
/// come piece by piece.
/// </summary>
internal sealed class PythonNumbers
{
    private static readonly byte[][] Words = ["NaN"u8.ToArray(), "Infinity"u8.ToArray(), "-Infinity"u8.ToArray()];

    private byte[] _held = []; // the end of a piece that may be a word's beginning
    private bool _inText, _afterBackslash;

    /// <summary>Whether there were any.</summary>
    public bool HasFound { get; private set; }

    /// <summary>All of a value at once; null where nothing was to mend.</summary>
    public static byte[]? Mended(byte[] json)
    {
        var filter = new PythonNumbers();
        var mended = filter.Mend(json, isLast: true);
        return filter.HasFound ? mended : null;
    }

    public byte[] Mend(ReadOnlySpan<byte> piece, bool isLast)
    {
        byte[] all = [.. _held, .. piece];
        var mended = new List<byte>(all.Length + 16);
        _held = [];
        for (var at = 0; at < all.Length; at++)
        {
            var one = all[at];
            if (_inText)
            {
                (_inText, _afterBackslash) = (_afterBackslash || one != '"', !_afterBackslash && one == '\\');
            }
            else if (one is (byte)'N' or (byte)'I' or (byte)'-')
            {
                var rest = all.AsSpan(at);
                if (WordAt(rest) is { } word)
                {
                    mended.AddRange("null"u8);
                    at += word - 1;
                    HasFound = true;
                    continue;
                }
                if (!isLast && MayBecomeWord(rest))
                {
                    _held = rest.ToArray();
                    return [.. mended];
                }
            }
            else _inText = one == '"';
            mended.Add(one);
        }
        return [.. mended];
    }

    private static int? WordAt(ReadOnlySpan<byte> text)
    {
        foreach (var word in Words)
            if (text.StartsWith(word)) return word.Length;
        return null;
    }

    private static bool MayBecomeWord(ReadOnlySpan<byte> text)
    {
        foreach (var word in Words)
            if (word.AsSpan().StartsWith(text)) return true;
        return false;
    }
}
