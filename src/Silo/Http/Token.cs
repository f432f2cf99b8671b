using System.Security.Cryptography;
using System.Text;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Silo.Http;

/// <summary>A bearer token. Only its digest is kept: all comparisons take the same time, whatever the lengths.</summary>
internal sealed class Token
{
    public const int Shortest = 16, Longest = 512;

    private readonly byte[] _digest;

    private Token(string text) => _digest = SHA256.HashData(Encoding.UTF8.GetBytes(text));

    public bool Is(string given) => CryptographicOperations.FixedTimeEquals(_digest, SHA256.HashData(Encoding.UTF8.GetBytes(given)));

    /// <param name="option">Names the file in messages, which never show what is in it.</param>
    /// <exception cref="InputException">It cannot be read, or holds no token.</exception>
    public static Token ReadFile(string option, string path)
    {
        string text;
        try
        {
            text = File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{option}: cannot be read ({e.Message}), got {path}; write the token into it.");
        }
        if (text.Length is < Shortest or > Longest || !text.All(c => c is > ' ' and <= '~'))
            throw new InputException($"{option}: must hold one token of {Shortest} to {Longest} printable characters without spaces, "
                + $"got {text.Length} characters in {path}; make one with `openssl rand -hex 32`.");
        return new(text);
    }
}
