namespace Phi3VCluster.Training.Tests.Fuzz;

/// <summary>Damages files the way disks, transfers and attackers do; the same seed gives the same damage.</summary>
internal sealed class Mutator(ulong seed)
{
    private static readonly byte[] Telling = [0, 1, 0x7F, 0x80, 0xFE, 0xFF];

    // Numbers and structure that parsers trip over, for files that are text.
    private static readonly string[] Words =
    [
        "-1", "1e99", "NaN", "null", "true", "9223372036854775807", "18446744073709551616", "\"\"", "[]", "{}", "[", "{", "\"",
        "\\ud800", ",", "0",
    ];

    private readonly SplitMix64 _random = new(seed);

    public byte[] Mutate(byte[] file)
    {
        var bytes = file.ToList();
        for (var left = 1 + Below(4); left > 0; left--) MutateOnce(bytes);
        return [.. bytes];
    }

    public int Below(int limit) => (int)_random.Below(Math.Max(limit, 1));

    private void MutateOnce(List<byte> bytes)
    {
        var at = Below(bytes.Count);
        // Half of the time near the beginning, where headers are.
        if (Below(2) == 0) at = Below(Math.Min(bytes.Count, 64));
        if (bytes.Count == 0) bytes.Add(0);
        var length = Math.Min(1 + Below(16), bytes.Count - at);
        switch (Below(8))
        {
            case 0: bytes[at] ^= (byte)(1 << Below(8)); break;
            case 1: bytes[at] = Telling[Below(Telling.Length)]; break;
            case 2: bytes[at] = (byte)Below(256); break;
            case 3: bytes.RemoveRange(at, length); break;
            case 4: bytes.InsertRange(at, bytes.GetRange(at, length)); break;
            case 5: for (var i = 0; i < length; i++) bytes[at + i] = Telling[Below(Telling.Length)]; break;
            case 6: bytes.RemoveRange(at, bytes.Count - at); break;
            default: ReplaceToken(bytes, at); break;
        }
    }

    /// <summary>Puts a word where a number or a quoted string stands.</summary>
    private void ReplaceToken(List<byte> bytes, int at)
    {
        var end = at;
        while (end < bytes.Count && end - at < 24
            && (char.IsLetterOrDigit((char)bytes[end]) || bytes[end] is (byte)'"' or (byte)'_')) end++;
        bytes.RemoveRange(at, end - at);
        bytes.InsertRange(at, Words[Below(Words.Length)].Select(letter => (byte)letter));
    }
}
