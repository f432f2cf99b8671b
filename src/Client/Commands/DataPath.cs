using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>Data as verbs are given it: the format's name and a file or glob.</summary>
internal static class DataPath
{
    public const string Form = "KIND:PATH";

    /// <param name="option">What messages call it.</param>
    /// <returns>The path is absolute: the node has a current folder of its own.</returns>
    public static (string Kind, string Path) Split(string option, string data) => data.IndexOf(':') is var colon and > 0
        ? (data[..colon], ModelArguments.Absolute(data[(colon + 1)..]))
        : throw new InputException($"{option}: must be {Form}, got {data}; write for example conversations:data/test.jsonl.");
}
