using Apache.Arrow;
using Apache.Arrow.Types;
using ParquetSharp.Arrow;

namespace Phi3VCluster.Bench.Data;

/// <summary>A parquet file of pages in the docvqa layout.</summary>
internal static class PageFile
{
    public static void Write(string path, int rows, int groupRows, Func<int, byte[]> page)
    {
        var nothing = ArrowBuffer.Empty;
        var text = new Field("en", StringType.Default, nullable: true);
        var image = new Field("bytes", BinaryType.Default, nullable: true);
        var schema = new Schema(
        [
            new Field("image", new StructType([image]), nullable: true),
            new Field("query", new StructType([text]), nullable: true),
            new Field("answers", new ListType(StringType.Default), nullable: true),
        ], null);
        using var writer = new FileWriter(path, schema);
        for (var done = 0; done < rows; done += groupRows)
        {
            var (pages, questions) = (new BinaryArray.Builder(), new StringArray.Builder());
            var answers = new ListArray.Builder(StringType.Default);
            for (var i = 0; i < groupRows; i++)
            {
                pages.Append(page(done + i).AsSpan());
                questions.Append($"What is on page {done + i}?");
                answers.Append();
                ((StringArray.Builder)answers.ValueBuilder).Append($"page {done + i}");
            }
            using var batch = new RecordBatch(schema,
            [
                new StructArray(new StructType([image]), groupRows, [pages.Build()], nothing),
                new StructArray(new StructType([text]), groupRows, [questions.Build()], nothing),
                answers.Build(),
            ], groupRows);
            writer.WriteRecordBatch(batch, groupRows);
        }
        writer.Close();
    }
}
